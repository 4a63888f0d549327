const table = new Map();
for (let i = 0; i < 500000; i++) table.set("key" + String(i), i * 2);
let total = 0;
for (let i = 0; i < 500000; i++) total += table.get("key" + String(i));
console.log(total);
