import { useState } from 'preact/hooks';
import type { ProgressEvent } from '../../shapes/studio.ts';
import { useEvents } from '../client/events.ts';
import { Progress } from '../components/progress.tsx';

/** The work that the studio does now, such as opening a model, at the foot of every screen. */
export function Running() {
  const [tasks, setTasks] = useState<readonly ProgressEvent[]>([]);
  useEvents('/api/progress', {
    running: (running: ProgressEvent[]) => setTasks(running),
    task: (task: ProgressEvent) => {
      setTasks((known) => {
        const others = known.filter(({ id }) => id !== task.id);
        return task.ended ? others : [...others, task].sort((a, b) => a.id - b.id);
      });
    },
  });
  if (tasks.length === 0) return null;
  return (
    <aside class="running" aria-label="Work in progress">
      {tasks.map(({ id, label, done, total, unit, note }) => (
        <Progress key={id} label={label} done={done} total={total} unit={unit} note={note} />
      ))}
    </aside>
  );
}
