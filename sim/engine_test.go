package sim
import ("testing";"fmt";"os")
func TestScratch(t *testing.T){
 src,_:=os.ReadFile("/tmp/s.trace")
 s,err:=Parse(string(src)); if err!=nil{t.Fatal(err)}
 o:=RunOptions{CheckImmutable:true}
 if os.Getenv("V")!="" {o.Log=func(r *LogRecord){fmt.Println(r)}}
 out:=Run(s,o)
 fmt.Println(out.Verdict,out.Violation,out.Events,out.Virtual,out.Healed,out.Lin,fmt.Sprintf("%x",out.Hash))
 for i:=range out.Ops{fmt.Println(&out.Ops[i],resultText(&out.Ops[i]),out.Ops[i].Called,out.Ops[i].Returned)}
 fmt.Println(out.Halted,out.Fired,out.IdleActions)
}
func TestGen(t *testing.T){
 ev:=0
 for i:=uint64(0);i<200;i++{
  s:=Generate(NewSource(i))
  out:=Run(s,RunOptions{CheckImmutable:true})
  out2:=Run(s,RunOptions{})
  if out.Hash!=out2.Hash{t.Error("hash",i)}
  ev+=out.Events
  if out.Violation!=nil{fmt.Println(i,out.Violation)}
 }
 fmt.Println(ev)
}
