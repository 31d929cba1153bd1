"""Writes iris.csv: the four measurements of R. A. Fisher's 150 irises, as scikit-learn ships them.

    python make_iris.py        # scikit-learn 1.x
"""

from pathlib import Path

from sklearn.datasets import load_iris

iris = load_iris()
with open(Path(__file__).with_name("iris.csv"), "w", newline="\n") as file:
    file.write("sepal_length,sepal_width,petal_length,petal_width\n")
    for row in iris.data:
        file.write(",".join(f"{value:g}" for value in row) + "\n")
