
// A pressed badge leaves its claims; several leave all of theirs, none everything.
for (const block of document.querySelectorAll(".block")) {
  const buttons = [...block.querySelectorAll(".tally button")], claims = [...block.querySelectorAll("[data-claim]")];
  const show = () => {
    const wanted = buttons.filter(button => button.getAttribute("aria-pressed") === "true").map(button => button.dataset.show);
    for (const claim of claims) claim.hidden = wanted.length > 0 && !wanted.includes(claim.dataset.verdict);
    for (const group of block.querySelectorAll(".group")) {
      group.hidden = !group.querySelector("[data-claim]:not([hidden])");
      const folded = group.querySelector("details.waiting");
      if (folded) folded.open = wanted.length > 0 && !group.hidden;
    }
    const shown = claims.filter(claim => !claim.hidden).length;
    block.querySelector(".told").textContent = wanted.length ? `${shown} of ${claims.length} claims shown` : "";
  };
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      show();
    });
  }
}
