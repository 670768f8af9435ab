// Tells the server what the browser knows about cameras. It opens none itself: failures to open one
// are seen by listening to the calls that the video frame (of this same origin) makes.
export default function (component) {
  const { setStateValue } = component;
  const facts = {
    secure: window.isSecureContext,
    supported: Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia),
    cameras: -1,
    permission: "unknown",
    error: "",
  };
  let said = "";
  let gone = false;
  let status = null;

  function tell() {
    const text = JSON.stringify(facts);
    if (gone || text === said) return;
    said = text;
    setStateValue("facts", { ...facts });
  }

  async function count() {
    if (!facts.supported) return;
    try {
      const devices = await navigator.mediaDevices.enumerateDevices();
      facts.cameras = devices.filter((device) => device.kind === "videoinput").length;
    } catch {
      facts.cameras = -1;
    }
    tell();
  }

  async function watchPermission() {
    try {
      status = await navigator.permissions.query({ name: "camera" });
    } catch {
      return; // Firefox before 132 and others do not tell
    }
    const read = () => {
      facts.permission = status.state;
      if (status.state !== "denied" && facts.error === "NotAllowedError") facts.error = "";
      tell();
    };
    status.onchange = read;
    read();
  }

  function listen(frame) {
    let devices;
    try {
      devices = frame.contentWindow.navigator.mediaDevices;
    } catch {
      return; // not of this origin
    }
    if (!devices || devices.asListening) return;
    devices.asListening = true;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      try {
        const stream = await open(wanted);
        devices.asTell("");
        return stream;
      } catch (error) {
        devices.asTell(error.name);
        throw error;
      }
    };
  }

  function look() {
    for (const frame of document.querySelectorAll('iframe[title*="webrtc"]')) {
      listen(frame);
      try {
        const devices = frame.contentWindow.navigator.mediaDevices;
        if (devices) devices.asTell = (name) => { facts.error = name; tell(); count(); };
      } catch { /* not of this origin */ }
    }
  }

  const timer = setInterval(look, 300);
  const recount = () => { facts.error = ""; count(); };
  if (facts.supported) navigator.mediaDevices.addEventListener("devicechange", recount);
  look();
  tell();
  count();
  watchPermission();
  return () => {
    gone = true;
    clearInterval(timer);
    if (status) status.onchange = null;
    if (facts.supported) navigator.mediaDevices.removeEventListener("devicechange", recount);
  };
}
