// One question at a time; each option is a button, and a chosen one shows its reason beneath it. The first choice counts.

/** Plain text with `code` between backticks, as nodes. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? kit.el("code", { class: "dln-quiz-code", text: part }) : part));
}

/** How many questions were right at the first choice, and how many were answered, from the first choices (null: none yet). */
function score(questions, first) {
  const answered = first.filter((choice) => choice != null).length;
  const right = first.filter((choice, i) => choice != null && questions[i].options[choice].correct).length;
  return { answered, right };
}

function render({ model, el }) {
  const questions = model.get("questions"), count = questions.length;
  const frame = kit.frame(el, { model, title: "Check yourself",
    hint: "Choose an answer: each one says why. Left and right arrows go from question to question." });
  frame.root.classList.add("dln-quiz");
  frame.root.querySelector(".dln-code").remove();
  const first = questions.map(() => null), chosen = questions.map(() => new Set());
  let at = 0;

  const card = kit.el("div", { class: "dln-quiz-card", tabindex: "0", role: "group" });
  frame.picture.append(card);
  const back = kit.button({ label: "Previous", onclick: () => go(at - 1) });
  const next = kit.button({ label: "Next", onclick: () => go(at + 1) });
  const dots = kit.el("div", { class: "dln-quiz-dots", "aria-hidden": "true" }, ...questions.map(() => kit.el("span")));
  frame.controls.append(back, dots, next);

  function option({ text, correct, why }, i) {
    const open = chosen[at].has(i);
    const button = kit.el("button", { type: "button", class: "dln-quiz-option", "aria-pressed": String(open) },
      kit.el("span", { class: "dln-quiz-mark", "aria-hidden": "true", text: open ? (correct ? "✓" : "✕") : "ABCD"[i] }),
      kit.el("span", {}, ...prose(text)));
    button.addEventListener("click", () => choose(i));
    const verdict = correct ? "Right. " : "Not this one. ";
    const reason = open ? kit.el("div", { class: "dln-quiz-why" }, kit.el("strong", { text: verdict }), ...prose(why)) : null;
    return kit.el("li", { class: open ? `dln-quiz-open ${correct ? "dln-quiz-right" : "dln-quiz-wrong"}` : "" }, button, reason);
  }

  function draw() {
    const item = questions[at], number = `Question ${at + 1} of ${count}`;
    card.setAttribute("aria-label", number);
    card.replaceChildren(kit.el("div", { class: "dln-quiz-number", text: number }), kit.el("p", { class: "dln-quiz-question" }, ...prose(item.question)),
      kit.el("ol", { class: "dln-quiz-options" }, ...item.options.map(option)));
    back.disabled = at === 0;
    next.disabled = at === count - 1;
    [...dots.children].forEach((dot, i) => {
      const done = first[i] != null;
      dot.className = [i === at && "dln-quiz-here", done && (questions[i].options[first[i]].correct ? "dln-quiz-hit" : "dln-quiz-miss")].filter(Boolean).join(" ");
    });
    const { answered, right } = score(questions, first);
    return `${number}. ${answered ? `${right} of ${answered} right at the first choice.` : "Nothing answered yet."}`
      + (answered === count ? " That was all: the reasons that surprised you are worth a second look." : "");
  }

  function go(to) {
    if (to < 0 || to >= count) return;
    at = to;
    frame.say(draw());
    card.focus({ preventScroll: true });
  }

  function choose(i) {
    first[at] ??= i;
    chosen[at].add(i);
    const { correct, why } = questions[at].options[i];
    const state = draw();
    frame.say(`${correct ? "Right" : "Not this one"}: ${why.replaceAll("`", "")}`);
    frame.readout.textContent = state; // the reason stands beneath its option; the announcement carries it for those who listen
    card.querySelectorAll("button")[i].focus({ preventScroll: true });
  }

  kit.arrows(card, (dx, dy) => {
    if (Number.isFinite(dx) && dx) go(at + dx);
    else if (dx) go(dx < 0 ? 0 : count - 1);
    else {
      const buttons = [...card.querySelectorAll("button")], here = buttons.indexOf(card.getRootNode().activeElement);
      buttons[Math.min(Math.max(here + dy, 0), buttons.length - 1)].focus({ preventScroll: true });
    }
  });
  frame.say(draw());
}

export const kernels = { score };

export default { render };
