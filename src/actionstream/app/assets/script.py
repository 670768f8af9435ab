"""What Streamlit runs for `actionstream app`; beside `pages` it would list that folder itself."""

from actionstream.app import main

main()
