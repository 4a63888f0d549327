items = []
for n in range(1_000_000, 0, -1):
    items.append(n % 100)
print(len(items))
