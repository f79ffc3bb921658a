#include "command/expiry_argument.h"

#include "command/arguments.h"
#include "command/messages.h"

namespace gyre {

std::optional<UnixMillis> ToExpiry(std::int64_t number, ExpiryForm form, UnixMillis now) {
  std::int64_t expiry = number;
  if (form.seconds && __builtin_mul_overflow(expiry, std::int64_t{1000}, &expiry)) {
    return std::nullopt;
  }
  if (!form.absolute && __builtin_add_overflow(expiry, now, &expiry)) return std::nullopt;
  return expiry;
}

Result<UnixMillis> ParseExpiry(std::string_view text, ExpiryForm form, UnixMillis now,
                               std::string_view command) {
  const std::optional<std::int64_t> number = ParseInteger(text);
  if (!number) return tl::unexpected(NotAnInteger());
  if (*number <= 0) return tl::unexpected(InvalidExpiry(command));
  const std::optional<UnixMillis> expiry = ToExpiry(*number, form, now);
  if (!expiry) return tl::unexpected(InvalidExpiry(command));
  return *expiry;
}

std::optional<ExpiryForm> ExpiryFormOf(std::string_view word) {
  if (IsWord(word, "EX")) return ExpiryForm{.absolute = false, .seconds = true};
  if (IsWord(word, "PX")) return ExpiryForm{.absolute = false, .seconds = false};
  if (IsWord(word, "EXAT")) return ExpiryForm{.absolute = true, .seconds = true};
  if (IsWord(word, "PXAT")) return ExpiryForm{.absolute = true, .seconds = false};
  return std::nullopt;
}

}  // namespace gyre
