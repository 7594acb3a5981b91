// Light, dark, or as the system has it; remembered in this browser.

const KEY = "celery-stream-theme";
const NEXT = { "": "light", light: "dark", dark: "" };
const LOOKS = { "": ["◐", "as the system has them"], light: ["☀", "light"], dark: ["☾", "dark"] };

export function theme(button) {
  let chosen = localStorage.getItem(KEY) ?? "";
  const apply = () => {
    document.documentElement.dataset.theme = chosen;
    const [sign, words] = LOOKS[chosen] ?? LOOKS[""];
    button.textContent = sign;
    button.setAttribute("aria-label", `Colours: ${words}`);
    button.title = `Colours: ${words}`;
  };
  button.addEventListener("click", () => {
    chosen = NEXT[chosen] ?? "";
    localStorage.setItem(KEY, chosen);
    apply();
  });
  apply();
}
