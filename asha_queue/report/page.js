/* Draws the figures of a report or a plan, as the page lies open and as it is printed. */
(function () {
  "use strict";
  var figures = Array.from(document.querySelectorAll("figure"));
  var dark = matchMedia("(prefers-color-scheme: dark)"), printing = false;

  function draw(figure) {
    var select = figure.querySelector("select"), plot = figure.querySelector(".plot");
    var all = figure.querySelectorAll("script[type='application/json']");
    var chosen = JSON.parse(all[select ? Number(select.value) : 0].textContent);
    return ashaDraw(plot, chosen, dark.matches && !printing);
  }

  /* One after the other, so that the page answers in between. */
  function drawAll() {
    return figures.reduce(function (before, figure) {
      return before.then(function () {
        return new Promise(function (resolve) { setTimeout(resolve, 0); });
      }).then(function () { return draw(figure); });
    }, Promise.resolve());
  }

  figures.forEach(function (figure) {
    var select = figure.querySelector("select");
    if (select) {
      select.addEventListener("change", function () { draw(figure); });
    }
  });
  dark.addEventListener("change", drawAll);
  function print(now) {
    printing = now;
    figures.forEach(function (figure) {
      /* the width that a sheet has, or again that of the page */
      figure.querySelector(".plot").style.width = now ? "640px" : "";
      draw(figure);
    });
  }
  addEventListener("beforeprint", function () { print(true); });
  addEventListener("afterprint", function () { print(false); });
  drawAll().then(function () { document.documentElement.dataset.drawn = "yes"; });
})();
