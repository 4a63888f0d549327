let text = "";
for (let n = 0; n < 200000; n++) text = text + "ab,";
console.log(text.length);
