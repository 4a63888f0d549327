def loud(lines):
    for _ in range(int(lines)):
        print("x" * 999)
