{{ staged_loans('lending_club_loans') }}
