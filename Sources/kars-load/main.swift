print("kars-load")
