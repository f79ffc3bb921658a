// Lines that a person types, over libedit: a history, the Tab key, and what the command still takes
// in grey behind the cursor. There is one terminal: make one of these.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "client/shell/hint.h"

struct editline;
struct history;

namespace gyre::client {

enum class LineEnd {
  kEntered,
  kInterrupted,  // Ctrl-C
  kGarbled,      // it has bytes that are no characters
  kEndOfInput,   // Ctrl-D
};

class LineEditor {
 public:
  // Both are asked about the line up to the cursor.
  struct Helpers {
    std::function<Completion(std::string_view)> complete;
    std::function<std::string(std::string_view)> hint;
  };
  // `helpers` are used while a line is read with help.
  explicit LineEditor(Helpers helpers);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // `helps`: it is a command that is typed, not an answer.
  LineEnd Read(std::string prompt, std::string& line, bool helps);

  // Values may be secrets: nobody else reads the file, from its creation on.
  void LoadHistory(const std::string& path);
  // In the file at once, however the shell ends.
  void AddToHistory(const std::string& line);

 private:
  static LineEditor& Of(editline* editor);
  static char* Prompt(editline* editor);
  static int NextCharacter(editline* editor, wchar_t* character);
  static unsigned char OnTab(editline* editor, int key);

  unsigned char CompleteLine();
  void ShowHint();
  void EraseHint();

  const Helpers helpers_;
  editline* editor_ = nullptr;
  struct history* history_ = nullptr;
  std::string history_path_;
  std::string prompt_;
  bool garbled_ = false;
  bool helps_ = false;
  bool hint_shown_ = false;
};

}  // namespace gyre::client
