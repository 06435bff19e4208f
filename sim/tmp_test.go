package sim
import ("testing";"fmt";"os";"strconv";"time";"sort")
func TestTmpFuzz(t *testing.T){
 n,_:=strconv.Atoi(os.Getenv("N")); s0,_:=strconv.Atoi(os.Getenv("S"))
 start:=time.Now(); ev:=0; bad:=map[string]int{}; first:=map[string]uint64{}
 var lin time.Duration
 var stat=map[string]int{}
 for i:=0;i<n;i++{ seed:=uint64(s0+i); s:=Generate(NewSource(seed)); o:=CheckWith(s,RunOptions{EventsMax:300000}); ev+=o.Events; lin+=o.Lin
  for _,op:=range o.Ops{ if op.Result!=nil {stat[op.Result.Status.String()]++} else {stat["none"]++}}
  if o.Violation!=nil{ bad[o.Violation.Property]++; if _,ok:=first[o.Violation.Property];!ok{first[o.Violation.Property]=seed; fmt.Println(seed,o.Violation)} } }
 d:=time.Since(start)
 fmt.Println(n,"schedules",ev,"events",d,float64(ev)/d.Seconds(),"ev/s; lin",lin,bad)
 var ks []string; for k:=range stat{ks=append(ks,k)}; sort.Strings(ks); for _,k:=range ks{fmt.Println(k,stat[k])}
}
func TestTmpOne(t *testing.T){
 seed,_:=strconv.Atoi(os.Getenv("S")); s:=Generate(NewSource(uint64(seed)))
 if os.Getenv("SHRINK")!=""{ o:=CheckWith(s,RunOptions{EventsMax:300000}); p:=o.Violation.Property; s=Shrink(s,func(x *Schedule)bool{o:=CheckWith(x,RunOptions{EventsMax:300000});return o.Violation!=nil&&o.Violation.Property==p},3000)}
 fmt.Println(s)
 o:=CheckWith(s,RunOptions{EventsMax:300000,Log:func(r *LogRecord){ if os.Getenv("LOG")!="" {fmt.Println(r)}}})
 fmt.Println(o.Violation); if o.Violation!=nil {fmt.Println(o.Violation.Stack)}
}
