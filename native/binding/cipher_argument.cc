#include "binding/cipher_argument.h"

namespace basecow {

std::shared_ptr<Cipher> CipherOf(Arguments& arguments, Napi::Value value, const char* name) {
  if (!arguments.ok() || value.IsUndefined()) return nullptr;
  const Napi::Object object = arguments.ObjectOf(value, name);
  auto cipher = std::make_shared<Cipher>();
  static constexpr CipherMode kModes[] = {CipherMode::kEcb, CipherMode::kCbc, CipherMode::kXts,
                                          CipherMode::kCtr};
  static constexpr IvKind kKinds[] = {IvKind::kNone, IvKind::kPlain, IvKind::kPlain64, IvKind::kEssiv};
  cipher->mode = kModes[arguments.ChoiceOf(object.Get("mode"), "cipher.mode", {"ecb", "cbc", "xts", "ctr"})];
  cipher->iv =
      kKinds[arguments.ChoiceOf(object.Get("ivgen"), "cipher.ivgen", {"none", "plain", "plain64", "essiv"})];
  cipher->by_guest = arguments.ChoiceOf(object.Get("numbering"), "cipher.numbering", {"host", "guest"}) == 1;
  cipher->origin = arguments.SignedOffsetOf(object.Get("origin"), "cipher.origin");
  const Bytes key = arguments.BytesOf(object.Get("key"), "cipher.key");
  const Bytes iv_key = arguments.BytesOf(object.Get("ivKey"), "cipher.ivKey");
  if (!arguments.ok()) return nullptr;
  cipher->key = Secret(key.data, key.length);
  cipher->iv_key = Secret(iv_key.data, iv_key.length);
  const char* const wrong = WhyInvalid(*cipher);
  if (wrong == nullptr) return cipher;
  arguments.FailRange(name, wrong, value);
  return nullptr;
}

std::shared_ptr<const Cipher> CipherSet::Of(Arguments& arguments, Napi::Value value, const char* name) {
  std::shared_ptr<Cipher> cipher = CipherOf(arguments, value, name);
  if (cipher == nullptr) return nullptr;
  for (const std::shared_ptr<Cipher>& known : known_) {
    if (*known == *cipher) return known;
  }
  known_.push_back(cipher);
  return cipher;
}

void CipherSet::Wipe() {
  for (const std::shared_ptr<Cipher>& cipher : known_) {
    cipher->key.Wipe();
    cipher->iv_key.Wipe();
  }
  known_.clear();
}

}  // namespace basecow
