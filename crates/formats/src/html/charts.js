// Values under the pointer, and a slider that smooths the curves marked so (an exponential mean, as in TensorBoard).
(function () {
  "use strict";
  var tip = document.createElement("div");
  tip.className = "tip";
  document.body.appendChild(tip);
  var numbers = function (text) { return text.split(",").map(Number); };
  document.querySelectorAll("svg[data-x]").forEach(function (svg) {
    var x = numbers(svg.dataset.x), y = numbers(svg.dataset.y);
    var px = function (v) { return x[2] + (v - x[0]) / (x[1] - x[0] || 1) * (x[3] - x[2]); };
    var py = function (v) { return y[2] - (v - y[0]) / (y[1] - y[0] || 1) * (y[2] - y[3]); };
    var lines = Array.from(svg.querySelectorAll("polyline[data-values]")).map(function (line) {
      var points = line.dataset.values.split(" ").filter(Boolean).map(numbers);
      return { line: line, points: points, shown: points, smooth: line.classList.contains("smooth") };
    });
    var draw = function (points) {
      return points.map(function (p) { return px(p[0]).toFixed(1) + "," + py(p[1]).toFixed(1); }).join(" ");
    };
    svg.smoothen = function (weight) {
      lines.filter(function (l) { return l.smooth; }).forEach(function (l) {
        if (!l.raw && weight > 0) {
          l.raw = l.line.cloneNode();
          l.raw.classList.add("raw");
          l.line.parentNode.insertBefore(l.raw, l.line);
        }
        if (l.raw) { l.raw.style.display = weight > 0 ? "" : "none"; }
        var mean = 0, share = 0;
        l.shown = l.points.map(function (p) {
          mean = weight * mean + (1 - weight) * p[1];
          share = weight * share + (1 - weight);
          return [p[0], weight > 0 ? mean / share : p[1]];
        });
        l.line.setAttribute("points", draw(l.shown));
      });
    };
    var cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", y[3]);
    cursor.setAttribute("y2", y[2]);
    cursor.style.display = "none";
    svg.appendChild(cursor);
    var leave = function () { tip.style.display = cursor.style.display = "none"; };
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointermove", function (event) {
      var box = svg.getBoundingClientRect();
      var at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      var value = x[0] + (at - x[2]) / (x[3] - x[2]) * (x[1] - x[0]);
      var near = null;
      lines.forEach(function (l) {
        l.at = l.shown.reduce(function (best, p) {
          return !best || Math.abs(p[0] - value) < Math.abs(best[0] - value) ? p : best;
        }, null);
        if (l.at && (!near || Math.abs(l.at[0] - value) < Math.abs(near - value))) { near = l.at[0]; }
      });
      if (near === null) { return leave(); }
      cursor.setAttribute("x1", px(near));
      cursor.setAttribute("x2", px(near));
      cursor.style.display = "";
      tip.textContent = "";
      var row = function (name, text) {
        var line = document.createElement("div");
        [name, text].forEach(function (part) {
          line.appendChild(document.createElement("span")).textContent = part;
        });
        tip.appendChild(line);
      };
      row(svg.dataset.unit, String(Math.round(near * 100) / 100));
      lines.forEach(function (l) { if (l.at) { row(l.line.dataset.name, l.at[1].toPrecision(4)); } });
      tip.style.display = "block";
      tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = event.clientY + 14 + "px";
    });
  });
  var slider = document.getElementById("smoothing");
  if (slider) {
    slider.addEventListener("input", function () {
      document.querySelectorAll("svg[data-x]").forEach(function (svg) { svg.smoothen(Number(slider.value)); });
    });
  }
})();
