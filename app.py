"""The web app: `streamlit run app.py`."""

from actionstream.app import main

if __name__ == "__main__":  # worker processes import this file, too
    main()
