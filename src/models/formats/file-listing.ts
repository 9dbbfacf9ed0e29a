/** A place that holds a model's files: a local folder, or a listing from a hub. */
export interface FileListing {
  /** The name of the place in errors. */
  place: string;
  /** The readable files, with forward slashes. */
  names: readonly string[];
  /** Reads the text of a shard index. */
  readIndex(name: string): Promise<string>;
  /** The number of parts that a GGUF file states; undefined if the file cannot be read before its download. */
  countGgufParts?(name: string): Promise<number | undefined>;
}
