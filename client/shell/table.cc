#include "client/shell/table.h"

#include <algorithm>
#include <cctype>

#include "client/shell/screen.h"

namespace gyre::client {
namespace {

bool IsNumber(const std::string& cell) {
  return !cell.empty() && (std::isdigit(static_cast<unsigned char>(cell.front())) != 0) &&
         cell.find_first_of(":-") == std::string::npos;
}

}  // namespace

void TextTable::Print(std::ostream& out) const {
  for (std::size_t row = 0; row <= rows_.size(); ++row) {
    const std::vector<std::string>& cells = row == 0 ? header_ : rows_[row - 1];
    std::string line;
    for (std::size_t column = 0; column < header_.size(); ++column) {
      std::size_t width = DisplayWidth(header_[column]);
      bool numeric = std::any_of(rows_.begin(), rows_.end(),
                                 [&](const auto& other) { return IsNumber(other[column]); });
      for (const auto& other : rows_) {
        width = std::max(width, DisplayWidth(other[column]));
        numeric = numeric && (IsNumber(other[column]) || other[column] == "-");
      }
      const std::string padding(width - DisplayWidth(cells[column]), ' ');
      line += numeric ? padding + cells[column] : cells[column] + padding;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

}  // namespace gyre::client
