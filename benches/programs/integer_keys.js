const table = new Map();
for (let i = 0; i < 500000; i++) table.set(i, i * 2);
let total = 0;
for (let i = 0; i < 500000; i++) total += table.get(i);
console.log(total);
