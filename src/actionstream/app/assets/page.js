// What Streamlit has no widget for, once for the whole page. Called anew with every beat, see
// `heartbeat` in widgets.py: says so when the beats have stopped; keeps the visitor's cookie, by
// which a page that is loaded again finds its videos; shows a moment of the timeline in the videos;
// closes the menu of a phone after a choice; tells a new answer to screen readers.
const PATIENCE_MS = 6000;
const lastWait = new WeakMap();

export default function ({ parentElement, setStateValue, data }) {
  let timer = 0;
  function wait() {
    timer = setTimeout(() => {
      setStateValue("stopped", Date.now());
      wait();
    }, PATIENCE_MS);
  }
  function end() {
    clearTimeout(timer);
  }

  remember(data);
  listen();
  lastWait.get(parentElement)?.();
  lastWait.set(parentElement, end);
  wait();
  return end;
}

function remember({ cookie, visitor }) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${cookie}=${visitor}; Path=/; SameSite=Strict${secure}`;
}

function listen() {
  if (document.asListening) return;
  document.asListening = true;
  document.addEventListener("click", (event) => {
    const part = event.target.closest("[data-seek]");
    if (part) seek(Number(part.dataset.seek));
    // Streamlit may close it itself, in a moment; another click would open it again.
    if (event.target.closest('[data-testid="stSidebarNavLink"]')) setTimeout(closeMenu, 300);
  });
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  said.setAttribute("aria-live", "polite");
  said.className = "as-said";
  document.querySelector(".stApp").append(said);
  setInterval(() => {
    const words = document.querySelector('[data-testid="action"]')?.textContent ?? "";
    if (said.textContent !== words) said.textContent = words;
    // Streamlit calls what can be focused mere decoration.
    document.querySelector('section[role="presentation"]')?.setAttribute("role", "group");
  }, 500);
}

function seek(seconds) {
  for (const video of document.querySelectorAll("video")) {
    video.currentTime = seconds + 0.001; // the frame that begins there, not the one before
  }
}

function closeMenu() {
  const open = '[data-testid="stSidebar"][data-collapsed="false"]';
  if (innerWidth < 768) {
    document.querySelector(`${open} [data-testid="stSidebarCollapseButton"] button`)?.click();
  }
}
