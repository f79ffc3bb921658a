// Secrets for the hash of keys, as many as one likes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/prng.h"
#include "storage/key.h"

namespace gyre {

// Those of higher numbers are older.
inline std::shared_ptr<const KeyHash> TestKeyHash(std::uint64_t number) {
  Prng prng(number);
  std::string secret(KeyHash::kSecretBytes, '\0');
  for (char& byte : secret) byte = static_cast<char>(prng.Next());
  const auto created = static_cast<std::int64_t>(1'600'000'000'000 - number);
  return std::make_shared<const KeyHash>(KeyHashId{created, prng.Next() | 1}, secret);
}

}  // namespace gyre
