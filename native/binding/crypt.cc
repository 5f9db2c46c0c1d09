#include "binding/arguments.h"
#include "binding/cipher_argument.h"
#include "binding/errors.h"
#include "binding/functions.h"
#include "crypt/sector_cipher.h"

namespace basecow {

namespace {

/// cryptSectors(cipher, direction, input, output, sector): void
Napi::Value CryptSectorsCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "cryptSectors");
  const Napi::Object object = arguments.Object(0, "cipher");
  const bool encrypts = arguments.Choice(1, "direction", {"encrypt", "decrypt"}) == 0;
  const Bytes in = arguments.BytesOf(info[2], "input");
  const Bytes out = arguments.BytesOf(info[3], "output");
  const uint64_t sector = arguments.Offset(4, "sector");
  const std::shared_ptr<Cipher> cipher = CipherOf(arguments, object, "cipher");
  if (!arguments.ok()) return {};
  if (in.length % kAesBlock != 0 || in.length > INT32_MAX) {
    arguments.FailRange("input", "of whole blocks of 16 bytes, below 2 GiB", info[2]);
    return {};
  }
  if (out.length < in.length) {
    arguments.FailRange("output", "as long as input", info[3]);
    return {};
  }
  SectorCipher sectors(*cipher);
  const Status status = encrypts ? sectors.Encrypt(in.data, out.data, in.length, sector)
                                 : sectors.Decrypt(in.data, out.data, in.length, sector);
  if (!status.ok()) return Throw(info.Env(), status);
  return info.Env().Undefined();
}

}  // namespace

void InitCrypt(Napi::Env env, Napi::Object exports) {
  Export<CryptSectorsCall>(env, exports, "cryptSectors");
}

}  // namespace basecow
