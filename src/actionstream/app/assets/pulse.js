// Says so when the page has stopped renewing itself: see pulse.py. Called anew with every beat.
const PATIENCE_MS = 6000;
const lastWait = new WeakMap();

export default function ({ parentElement, setStateValue }) {
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

  lastWait.get(parentElement)?.();
  lastWait.set(parentElement, end);
  wait();
  return end;
}
