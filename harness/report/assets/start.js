// Starts the page: the theme button, then the items.

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});

if (typeof DecompressionStream === "undefined") {
  byId("count").textContent = "This browser cannot unpack the items; open the page in a current one.";
} else {
  unpack(byId("index").textContent).then((found) => {
    index = found;
    setUp();
    arrive(false);
  }).catch((error) => {
    byId("count").textContent = `The items cannot be read (${error.message}); write the report again.`;
  });
}
