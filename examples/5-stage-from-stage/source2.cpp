#include <iostream>

int main() {
  std::cout << "two: built in the stage build2\n";
}
