// Ciphers as JavaScript describes them (NativeCipher in src/native.ts).
#pragma once

#include <memory>
#include <vector>

#include "binding/arguments.h"
#include "crypt/cipher.h"

namespace basecow {

/// Undefined gives nullptr. A TypeError is pending when it is something else, a RangeError when its key does
/// not fit.
std::shared_ptr<Cipher> CipherOf(Arguments& arguments, Napi::Value value, const char* name);

/// The ciphers of one job, equal ones once, so that threads make key schedules once.
class CipherSet {
 public:
  std::shared_ptr<const Cipher> Of(Arguments& arguments, Napi::Value value, const char* name);
  /// No thread uses them any more: the keys are wiped, whoever may still hold them.
  void Wipe();

 private:
  std::vector<std::shared_ptr<Cipher>> known_;
};

}  // namespace basecow
