"""What Streamlit runs for `actionstream app`."""

from actionstream.app import main

if __name__ == "__main__":  # worker processes import this file, too
    main()
