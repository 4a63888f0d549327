const items = [];
for (let n = 1000000; n > 0; n--) items.push(n);
let total = 0;
for (let i = 0; i < items.length; i++) total += items[i];
console.log(total);
