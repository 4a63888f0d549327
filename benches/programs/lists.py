def main():
    items = []
    for n in range(1_000_000, 0, -1):
        items.append(n)
    total = 0
    for i in range(len(items)):
        total += items[i]
    return total


print(main())
