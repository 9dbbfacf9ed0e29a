import type { Processor, Queue, Worker, WorkerOptions } from 'bullmq';

export type Bull = typeof import('bullmq');

/** A server of queues that has answered, as BullMQ uses it. */
export interface QueueServer {
  bull: Bull;
  queue(name: string): Queue;
  worker(name: string, processor: Processor, options: Omit<WorkerOptions, 'connection'>): Worker;
  /** Call it when the queues and workers are closed. */
  close(): void;
}

export interface ConnectOptions {
  /** How long a server that has never answered is tried, in milliseconds. */
  patience: number;
  /** Whether a connection that once stood and was lost is waited for, however long it takes. */
  isFaithful: boolean;
  /** Is told what the connection meets; it may be told often. */
  onFault(error: Error): void;
  /** Is told that the server answers, for the first time and after each loss. */
  onReady(): void;
}
