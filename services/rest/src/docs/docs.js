// The page is whole without this script. It makes the curl lines name this very server, and copies them.

for (const base of document.querySelectorAll("[data-base]")) base.textContent = location.origin;

for (const sample of document.querySelectorAll(".sample")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sample.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 1500);
  });
  // Only pages from a safe origin may write to the clipboard.
  if (navigator.clipboard) sample.append(button);
}

const links = new Map(
  [...document.querySelectorAll("nav a[href^='#']")].map((link) => [link.hash.slice(1), link]),
);
const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id)?.setAttribute("aria-current", "true");
    }
  },
  { rootMargin: "-10% 0px -75% 0px" },
);
for (const id of links.keys()) {
  const target = document.getElementById(id);
  if (target) observer.observe(target);
}
