/** The parts of the package that decode; it declares only its stream. */
interface BitReader {
  (count: number | null): number;
  /** Bytes of which at least one bit was read. */
  readonly bytesRead: number;
}

declare module "unbzip2-stream/lib/bit_iterator.js" {
  const makeBitReader: (nextBuffer: () => Uint8Array) => BitReader;
  export = makeBitReader;
}

declare module "unbzip2-stream/lib/bzip2.js" {
  const bzip2: {
    /** The size of a block in units of 100,000 bytes. */
    header(bits: BitReader): number;
    /** One block; the checksum of the stream so far, or null at its end. */
    decompress(
      bits: BitReader,
      output: (byte: number) => void,
      block: Int32Array,
      blockSize: number,
      crc: number,
    ): number | null;
  };
  export = bzip2;
}
