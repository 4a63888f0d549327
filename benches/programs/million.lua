local items = {}
for n = 1000000, 1, -1 do items[#items + 1] = n % 100 end
print(#items)
