/**
 * Passphrases and keys by id, as the runtime options of an encrypted image name them (`encrypt.key-secret=ID`).
 * Bytes as they are given to the key derivation; never printed.
 */
export type Secrets = ReadonlyMap<string, Uint8Array>;
