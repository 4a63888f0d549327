def main():
    text = ""
    for _ in range(200_000):
        text = text + "ab,"
    return len(text)


print(main())
