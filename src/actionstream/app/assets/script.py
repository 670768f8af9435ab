"""What Streamlit runs for `actionstream app`."""

from actionstream.app import main

main()
