"""A widget's page with a kernel, imitated: the second view of the widget that `go_live` opens gets an answer to its hello."""

LIVE = """async (name) => {
  const view = JSON.parse(document.querySelector('script[type*="widget-state"]').textContent);
  const [id] = Object.keys(view.state), { state, buffers } = view.state[id];
  for (const { path, data } of buffers) state[path[0]] = data;
  const calls = new Map(), sent = [], fire = (event, ...rest) => (calls.get(event) || []).forEach((call) => call(...rest));
  const model = {
    get: (key) => state[key], set: (key, value) => { state[key] = value; }, save_changes() { sent.push("save"); },
    on: (event, call) => calls.set(event, [...(calls.get(event) || []), call]), off() {},
    send(message) { sent.push(message); if (message.type === "hello") setTimeout(() => fire("msg:custom", { type: "hello" })); },
  };
  const el = document.body.appendChild(document.createElement("div"));
  el.id = "live"; el.className = "dln";
  dlnotes.modules[name].render({ model, el });
  await new Promise((done) => setTimeout(done, 150));
  Object.assign(window, { live: { state, sent, fire } });
}"""


def go_live(page, name: str) -> None:
    """Open the widget once more, as `#live`. In the page `live.sent` holds its messages; after a change of `live.state`,
    `live.fire("change:trait")` tells it."""
    page.evaluate(LIVE, name)
