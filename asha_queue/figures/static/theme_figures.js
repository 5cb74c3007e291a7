/* Draws figures in pages and reports: one look for all, light and dark.

   ashaDraw(element, figure, dark) draws or redraws a figure as the package makes it, {data, layout},
   and returns Plotly's promise. What was zoomed or hidden stays so. It gives the element its height,
   if it has none of its own, and a name for those who do not see it. plotly.js must be there. */
(function () {
  "use strict";

  var FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

  function template(dark) {
    var text = dark ? "#e6ebe3" : "#212822";
    var quiet = dark ? "#aab5a5" : "#667061";
    var grid = dark ? "#2e382c" : "#e8ebe5";
    var line = dark ? "#455242" : "#c6ccc1";
    var axis = {
      gridcolor: grid,
      linecolor: line,
      tickcolor: line,
      showline: true,
      ticks: "outside",
      ticklen: 4,
      zerolinecolor: grid,
      tickfont: {color: quiet, size: 11},
      title: {font: {color: quiet, size: 12}, standoff: 8}
    };
    return {
      layout: {
        colorway: [text],
        font: {family: FONT, size: 12, color: text},
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        xaxis: axis,
        yaxis: axis,
        hoverlabel: {
          bgcolor: dark ? "#2a3327" : "#ffffff",
          bordercolor: line,
          font: {family: FONT, size: 12, color: text}
        },
        legend: {bgcolor: "rgba(0,0,0,0)", font: {color: quiet, size: 12}},
        modebar: {bgcolor: "rgba(0,0,0,0)", color: line, activecolor: text},
        annotationdefaults: {font: {color: quiet, size: 14}}
      },
      data: {
        bar: [{textfont: {color: quiet}, marker: {line: {width: 0}}}],
        parcoords: [{
          labelfont: {color: text, size: 12},
          tickfont: {color: quiet, size: 11},
          rangefont: {color: "rgba(0,0,0,0)", size: 1},
          unselected: {line: {color: dark ? "#39453a" : "#d8ddd4", opacity: 0.25}},
          line: {colorbar: {tickfont: {color: quiet, size: 11}, title: {font: {color: quiet, size: 12}}}}
        }]
      }
    };
  }

  function config() {
    return {
      responsive: true,
      displaylogo: false,
      displayModeBar: "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"]
    };
  }

  /* Labels of parallel axes that stand close to each other are turned, on a phone for one. */
  function fitted(element, data, layout) {
    var first = data[0];
    if (!first || first.type !== "parcoords") {
      return data;
    }
    var longest = Math.max.apply(null, first.dimensions.map(function (d) { return d.label.length; }));
    if (element.clientWidth / first.dimensions.length > 7 * longest + 8) {
      return data;
    }
    layout.margin = Object.assign({}, layout.margin, {t: 40 + 3 * Math.min(longest, 20)});
    return [Object.assign({}, first, {labelangle: -25})];
  }

  window.ashaDraw = function (element, figure, dark) {
    var meta = figure.layout.meta || {};
    var layout = Object.assign({autosize: true}, figure.layout, {template: template(dark)});
    // a finger that moves over a figure scrolls the page; two zoom
    if (window.matchMedia("(pointer: coarse)").matches) {
      layout.dragmode = false;
    }
    if (!element.style.height && meta.height) {
      element.style.height = meta.height + "px";
    }
    if (meta.title) {
      element.setAttribute("role", "img");
      element.setAttribute("aria-label", meta.title + ". " + (meta.description || ""));
    }
    return Plotly.react(element, fitted(element, figure.data, layout), layout, config());
  };
})();
