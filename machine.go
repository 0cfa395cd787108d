package dayfly

import "time"

// MachineID is location/native-id, for example local/3f2a… or eu-west-1/i-0abc….
type MachineID string

// MachineState is what a provider says of a machine.
type MachineState string

// The states of a machine.
const (
	MachinePending    MachineState = "pending"    // asked for, nothing of the job has begun
	MachineRunning    MachineState = "running"    // up
	MachineStopping   MachineState = "stopping"   // going
	MachineTerminated MachineState = "terminated" // gone for good: nothing of it runs or can run again
)

// Machine is what a provider knows of one machine.
type Machine struct {
	ID         MachineID
	Provider   string
	State      MachineState
	Tags       Tags
	Phase      string    // what the agent is at, where the provider can see it: prepare, run, save
	LaunchedAt time.Time // by the provider's clock
	StartedAt  time.Time // the job's first instruction, where known
	Isolation  Isolation // local: the rung
	Notes      []string  // what a person should know of this machine
	Reason     string    // why it ended, in the provider's words
}

// Tags are what every machine and disk carries from the launch call itself.
type Tags struct {
	Installation string    `json:"dayfly:installation"`
	Run          RunID     `json:"dayfly:run"`
	Attempt      int       `json:"dayfly:attempt"`
	Deadline     time.Time `json:"dayfly:deadline"` // to the second or finer
	Token        string    `json:"dayfly:token"`
}

// Spec is one fully resolved launch. What is stored of it holds no secret.
type Spec struct {
	Token    string        `json:"token"`
	Tags     Tags          `json:"tags"`
	Machine  MachineChoice `json:"machine"`
	Task     Task          `json:"task"`
	Location string        `json:"location,omitempty"` // empty: the provider has only one

	// Secrets are the values of the job's secrets by environment name. They are resolved anew for
	// each call and are neither stored nor sent anywhere but to the machine.
	Secrets map[string]string `json:"-"`
}

// Task is what the agent does on the machine: job.json in the attempt's in/ folder.
type Task struct {
	Job             JobName           `json:"job"`
	Run             RunID             `json:"run"`
	Attempt         int               `json:"attempt"`
	Slot            time.Time         `json:"slot"`
	Shard           Shard             `json:"shard"`
	Shards          int               `json:"shards,omitempty"` // of the array; 0 where it is none
	Prefix          string            `json:"prefix"`           // runs/JOB/RUN/ATTEMPT/
	Env             map[string]string `json:"env,omitempty"`
	SecretNames     []string          `json:"secret_names,omitempty"`
	FilesSHA256     string            `json:"files_sha256,omitempty"`
	Script          string            `json:"script"` // /bin/sh -eu unless it begins with #!
	Timeout         Seconds           `json:"timeout"`
	Grace           Seconds           `json:"grace"`
	Deadline        time.Time         `json:"deadline"`
	PreviousSuccess time.Time         `json:"previous_success,omitzero"`
	Pids            int               `json:"pids,omitempty"`
	Log             LogLimits         `json:"log"`
	Results         ResultLimits      `json:"results"`
}

// LogLimits bound a log; what is cut is said in the log where it is cut.
type LogLimits struct {
	MaxBytes       int64 `json:"max_bytes"`        // 0: the agent's default
	BytesPerSecond int64 `json:"bytes_per_second"` // 0: the agent's default
}

// ResultLimits bound what is saved of the results directory.
type ResultLimits struct {
	MaxBytes int64 `json:"max_bytes"` // 0: the agent's default
	MaxFiles int   `json:"max_files"` // 0: the agent's default
}
