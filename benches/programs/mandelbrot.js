function iterations(cr, ci) {
  let zr = 0, zi = 0;
  for (let n = 0; n < 50; n++) {
    const rr = zr * zr, ii = zi * zi;
    if (rr + ii > 4) return n;
    zi = 2 * zr * zi + ci;
    zr = rr - ii + cr;
  }
  return 50;
}

let total = 0;
for (let y = 0; y < 400; y++)
  for (let x = 0; x < 400; x++) total += iterations(x / 160 - 2, y / 160 - 1.25);
console.log(total);
