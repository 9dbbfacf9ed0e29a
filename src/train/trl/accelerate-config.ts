import { allProcesses, MAIN_PORT } from '../python/cluster-settings.ts';
import type { TrlSettings } from './trl-settings.ts';
import type { YamlValue } from './yaml.ts';

/**
 * Builds the settings of `accelerate launch` for one machine.
 *
 * Several CPU processes are started like processes on several GPUs, because accelerate's launcher for CPUs starts only
 * one process unless MPI is installed. TRL's `use_cpu` then makes them compute on CPUs and communicate through gloo.
 * @param rank index of the machine, from 0
 */
export function accelerateConfig(settings: TrlSettings, rank = 0): Record<string, YamlValue> {
  const { hardware, machines, mainProcessIp, mainProcessPort = MAIN_PORT, precision, zero2 } = settings;
  const isMany = allProcesses(settings) > 1;
  return {
    compute_environment: 'LOCAL_MACHINE',
    debug: false,
    distributed_type: zero2 ? 'DEEPSPEED' : isMany ? 'MULTI_GPU' : 'NO',
    ...(zero2 && { deepspeed_config: ZERO_2 }),
    downcast_bf16: 'no',
    machine_rank: rank,
    main_training_function: 'main',
    mixed_precision: precision === 'bfloat16' ? 'bf16' : 'no',
    num_machines: machines,
    num_processes: allProcesses(settings),
    ...(machines > 1 && { main_process_ip: mainProcessIp!, main_process_port: mainProcessPort }),
    rdzv_backend: 'static',
    same_network: true,
    use_cpu: hardware === 'cpu' && !isMany,
  };
}

/** Stage 2 of ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054, section 5), without offloading to the CPU. */
const ZERO_2: YamlValue = {
  deepspeed_multinode_launcher: 'standard',
  offload_optimizer_device: 'none',
  offload_param_device: 'none',
  zero3_init_flag: false,
  zero_stage: 2,
};
