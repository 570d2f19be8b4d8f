print("kars")
