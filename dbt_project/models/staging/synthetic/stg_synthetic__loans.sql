{{ staged_loans('synthetic_loans') }}
