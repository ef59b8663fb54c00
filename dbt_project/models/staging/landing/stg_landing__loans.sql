{{ staged_loans('landing_loans') }}
