function map(f, items) {
  const result = [];
  for (const item of items) result.push(f(item));
  return result;
}

function filter(f, items) {
  const result = [];
  for (const item of items) if (f(item)) result.push(item);
  return result;
}

function reduce(f, items, result) {
  for (const item of items) result = f(result, item);
  return result;
}

const numbers = [];
for (let i = 0; i < 1000000; i++) numbers.push(i);
console.log(reduce((a, b) => a + b, filter((x) => x % 2 === 0, map((x) => x * 3, numbers)), 0));
