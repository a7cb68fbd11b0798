// Widgets without a kernel: mount each widget view of the page from the state saved beside it.
// The modules are classic scripts that call dlnotes.define(name, factory), so that this works from file:// as well.
(() => {
  const { dlnotes } = window; // holds the kit already
  dlnotes.modules = {};
  dlnotes.define = (name, factory) => { dlnotes.modules[name] ||= factory(dlnotes.kit); };
  const base = document.currentScript && document.currentScript.src ? new URL(".", document.currentScript.src).href : null;

  /** What a widget's module sees of its model: the saved state, with the usual get, set, on, off and save_changes. */
  class Model {
    constructor({ state, buffers = [] }) {
      this.state = { ...state };
      this.listeners = new Map();
      for (const { path, data } of buffers) {
        const text = atob(data), raw = new Uint8Array(text.length);
        for (let i = 0; i < text.length; i++) raw[i] = text.charCodeAt(i);
        this.state[path[0]] = new DataView(raw.buffer);
      }
    }
    get(name) { return this.state[name]; }
    set(name, value) {
      if (this.state[name] === value) return;
      this.state[name] = value;
      for (const event of [`change:${name}`, "change"]) for (const call of this.listeners.get(event) || []) call();
    }
    on(event, call) { if (!this.listeners.has(event)) this.listeners.set(event, new Set()); this.listeners.get(event).add(call); }
    off(event, call) { if (call) this.listeners.get(event)?.delete(call); else this.listeners.delete(event); }
    save_changes() {}
  }

  function load(name) {
    if (dlnotes.modules[name]) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (!base) { // a single file: the module stands further down
        document.addEventListener("readystatechange", resolve, { once: true });
        return;
      }
      const script = document.createElement("script");
      script.src = `${base}${name}.js`;
      script.onload = resolve;
      script.onerror = () => reject(Object.assign(new Error(`could not load ${script.src}`), { reason: "lost" }));
      document.head.append(script);
    });
  }

  /** Models by id, from the state that stands in the page before the first view. */
  function saved() {
    const models = new Map();
    for (const script of document.querySelectorAll('script[type="application/vnd.jupyter.widget-state+json"]')) {
      for (const [id, entry] of Object.entries(JSON.parse(script.textContent).state)) {
        if (entry.state._module) models.set(id, new Model(entry));
      }
    }
    return models;
  }

  async function mount(view, id) {
    const model = models.get(id);
    if (!model) return;
    const host = document.createElement("div");
    host.className = "dln dln-host";
    view.after(host);
    const name = model.get("_module");
    try {
      await load(name);
      await dlnotes.modules[name].render({ model, el: host });
      host.dataset.ready = name;
    } catch (error) {
      const reason = error.reason || (dlnotes.modules[name] && window.ResizeObserver && [].findLast ? "broken" : "old");
      host.remove();
      dlnotes.still?.(view, reason);
      if (reason === "broken") console.error(error);
    }
    await new Promise((next) => setTimeout(next)); // let the page breathe between two widgets
  }

  // A long page takes a while to parse. A widget at its top does not wait for the end: views are mounted as they arrive.
  const models = saved(), seen = new WeakSet();
  let queue = Promise.resolve();
  function collect() {
    for (const view of document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')) {
      if (seen.has(view)) continue;
      let id;
      try { id = JSON.parse(view.textContent).model_id; } catch { continue; } // not yet parsed to its end
      seen.add(view);
      queue = queue.then(() => mount(view, id));
    }
  }
  collect();
  if (document.readyState === "loading") {
    const arriving = new MutationObserver(collect);
    arriving.observe(document.documentElement, { childList: true, subtree: true });
    document.addEventListener("readystatechange", () => { collect(); arriving.disconnect(); }, { once: true });
  }
})();
