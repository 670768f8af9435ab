"""What Streamlit runs for `actionstream app`. Beside a folder `pages` it would list those itself."""

from actionstream.app import main

main()
