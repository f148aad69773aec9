#include <iostream>

int main() {
  std::cout << "one: built in the stage build1\n";
}
