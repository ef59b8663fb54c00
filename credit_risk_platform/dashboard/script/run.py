"""What `streamlit run` runs. In a folder of its own: Streamlit would take a `pages/` beside it for its own kind."""

from credit_risk_platform.dashboard.app import main

main()
