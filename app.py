"""The web app: `streamlit run app.py`."""

from actionstream.app import main

main()
